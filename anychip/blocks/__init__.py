"""IP building blocks: each answers meaning, timing, demand and evidence."""
