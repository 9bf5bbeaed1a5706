"""Which scan order, for what: one study and the page that is written from its records."""
