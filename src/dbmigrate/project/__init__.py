"""Ask: find the project, boot it once, and put questions to it."""
