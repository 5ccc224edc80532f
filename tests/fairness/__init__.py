"""Nobody holds everybody up: the worst requests there are, and how long the event loop is held by each."""
