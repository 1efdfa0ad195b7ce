"""Where was this photo taken, and why here?"""
