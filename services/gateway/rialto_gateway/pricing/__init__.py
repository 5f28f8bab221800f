"""What merchants pay: their prices, the fees of their payments, and the statement of those."""
