"""Outside suites run against the device and its arithmetic; imports torch and the frontends below it."""
