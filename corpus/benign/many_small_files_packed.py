import io, tarfile
with tarfile.open("m.tar", "w") as tar:
    for i in range(3000):
        info = tarfile.TarInfo(f"d{i % 50}/f{i}"); data = str(i).encode(); info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
