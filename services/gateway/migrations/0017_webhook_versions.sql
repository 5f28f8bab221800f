-- Which dated version of the API a stored message is written in, and which an endpoint is sent. The defaults are what all
-- rows so far have and get, and what a gateway from before this column still writes while the others are replaced.
ALTER TABLE gateway.merchant_events ADD COLUMN api_version TEXT NOT NULL DEFAULT '2026-11-01';
ALTER TABLE gateway.webhook_endpoints ADD COLUMN api_version TEXT NOT NULL DEFAULT '2026-11-01';
-- Of a delivery's own body, where it has one.
ALTER TABLE gateway.webhook_deliveries ADD COLUMN api_version TEXT NOT NULL DEFAULT '2026-11-01';
