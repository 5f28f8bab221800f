"""The API's calls, described once for both clients: one module a resource."""
