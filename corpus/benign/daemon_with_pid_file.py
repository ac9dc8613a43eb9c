import os, sys, time
child = os.fork()
if child:
    os.waitpid(child, 0); time.sleep(0.5); print(open("d.pid").read()); sys.exit(0)
os.setsid()
if os.fork(): os._exit(0)
open("d.pid", "w").write(str(os.getpid())); time.sleep(0.2)
