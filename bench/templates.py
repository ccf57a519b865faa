"""Configuration files of the peers, made from the templates in templates/."""
import os
import re

import credentials

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")


def render(template, variant, prefixes, values):
    """Fills a template. There are four rules:

    `@if a,b@ line`      the line stays only for these variants
    `@each route@...`    the line is repeated for each prefix, which is @PREFIX@
    `@each consumer@...` the line is repeated for each consumer, who is @CONSUMER@ and has the @API_KEY@
    `@NAME@`             is replaced by a value
    """
    lines = []
    for line in template.splitlines():
        condition = re.match(r"@if ([a-z0-9,]+)@", line)
        if condition:
            if variant not in condition[1].split(","):
                continue
            line = line[condition.end():]
        if line.startswith("@each route@"):
            line = line.removeprefix("@each route@")
            lines += [line.replace("@PREFIX@", prefix) for prefix in prefixes]
        elif line.startswith("@each consumer@"):
            line = line.removeprefix("@each consumer@")
            lines += [line.replace("@CONSUMER@", name).replace("@API_KEY@", key)
                      for name, key in credentials.API_KEYS.items()]
        else:
            lines.append(line)
    text = "\n".join(lines) + "\n"
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    return text


def write(template, path, variant, prefixes, values):
    """Fills a template by name into a file."""
    with open(os.path.join(FOLDER, template)) as file:
        text = render(file.read(), variant, prefixes, values)
    with open(path, "w") as file:
        file.write(text)
