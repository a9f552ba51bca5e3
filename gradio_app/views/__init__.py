"""The page's HTML, one module per tab: records in, escaped markup out."""
