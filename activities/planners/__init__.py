"""The planners, which draft plans from requests.

A worker imports AutoGen and the model clients only in this folder.
"""
