"""The verbs of the command line: options in, one call, words or JSON out.

What a verb calls is imported when it is called, so that a verb in a hurry starts at once.
"""
