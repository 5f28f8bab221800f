"""Payment links: a page of ours where whoever has the link pays a merchant, without JavaScript."""
