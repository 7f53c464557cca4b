"""What can be dialled: levels, channels, topics, policies, segments, notices.

Owns the catalogue and the judgement whether a new one would make an existing customer louder. Never touches
a customer's settings.
"""
