"""Where base weights come from: official files, the hub, those that ship with the project."""
