#!/bin/sh
# needs: python3
# options: --timeout 120s

mkdir -p demo
echo 'answer = 42' > demo/__init__.py
cat > wheel.py <<'EOF'
import zipfile
info = "demo-1.0.dist-info/"
files = {"demo.py": "answer = 42\n", info + "METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
         info + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
files[info + "RECORD"] = "".join(f"{n},,\n" for n in files) + info + "RECORD,,\n"
with zipfile.ZipFile("demo-1.0-py3-none-any.whl", "w") as w:
    for n, t in files.items(): w.writestr(n, t)
EOF
rm -r demo
python3 wheel.py && python3 -m pip install -q --no-index --target site ./demo-1.0-py3-none-any.whl
PYTHONPATH=site python3 -c 'import demo; print(demo.answer)'
