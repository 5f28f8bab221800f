"""PostgreSQL, memory and ONNX behind the ports."""
