"""Files of models."""

import os
import shutil


def copied(path, folder):
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, os.path.basename(path) + ".copy")
    shutil.copy(path, target)
    return target
