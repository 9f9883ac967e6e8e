"""gateway.yaml to typed settings, or a list of mistakes that each name file, line, key and what would be right.

load       the settings in a file, for the service
doubts     what is allowed but perhaps not meant
editor     the JSON Schema
importer   config.ini of dbus-serialbattery as gateway.yaml
"""
