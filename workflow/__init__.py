"""What only the workflow needs: how steps are called and which digests re-run them. No maths here."""
