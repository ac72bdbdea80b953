"""The merchandiser's page: server-rendered, works without scripts, grows by the console's own issues."""
