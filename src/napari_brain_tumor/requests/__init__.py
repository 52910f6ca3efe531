"""What each action can be asked for: one frozen document per action, whose fields carry the words of every surface."""
