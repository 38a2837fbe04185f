"""Files that only this user can read, and files that are whole or not there. Imports the domain alone."""
