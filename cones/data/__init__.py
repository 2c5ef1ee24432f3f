"""From the registry to canonical COCO: fetch, verify, unpack, convert, gate, split."""
