"""Several workers behind one endpoint: whose a request is, passing it on as it came, merging what all of them say."""
