"""A stand-in for a streaming catalogue: open films and invented series, served over real HTTP.

It knows no app. Everything it shows is made up or openly licensed, and every video is generated on this machine.
"""
