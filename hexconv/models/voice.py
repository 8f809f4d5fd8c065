"""The small voice."""
from hexconv.models.config import GeneratorConfig

CONFIG = GeneratorConfig("2", (8, 8, 4), (16, 16, 8), 128, (3, 7), ((1, 3), (1, 3)))
