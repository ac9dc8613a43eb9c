import glob, json, os, platform, pwd, shutil, subprocess
facts = {
    "platform": platform.platform(), "disk": shutil.disk_usage("/").total, "load": os.getloadavg(),
    "users": [p.pw_name for p in pwd.getpwall() if p.pw_uid >= 1000],
    "memory": open("/proc/meminfo").readline(), "interfaces": os.listdir("/sys/class/net"),
    "processes": len([d for d in os.listdir("/proc") if d.isdigit()]),
    "packages": subprocess.getoutput("dpkg-query -W | wc -l"), "up": subprocess.getoutput("uptime -p"),
    "addresses": subprocess.getoutput("hostname -I"), "mounts": subprocess.getoutput("mount"),
}
json.dump(facts, open("facts.json", "w"))
