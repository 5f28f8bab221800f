"""The journal in the formats of others: beancount for accountants and as an outside judge, CSV and Parquet."""
