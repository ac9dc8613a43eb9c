#!/bin/sh
# needs: python3

cat > test_x.py <<'EOF'
import unittest, tempfile, os, subprocess
class T(unittest.TestCase):
    def test_file(self):
        with tempfile.NamedTemporaryFile() as f: f.write(b"x"); f.flush(); self.assertEqual(os.path.getsize(f.name), 1)
    def test_child(self):
        self.assertEqual(subprocess.check_output(["echo", "a"]), b"a\n")
EOF
python3 -m unittest -q test_x
