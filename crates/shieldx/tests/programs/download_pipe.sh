# curl | sh from the sandbox's own loopback.
mkdir www && printf 'echo stage two; id\n' > www/install.sh
python3 -m http.server --bind 127.0.0.1 --directory www 8000 >/dev/null 2>&1 &
server=$!
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    curl -sf http://127.0.0.1:8000/install.sh >/dev/null && break
    sleep 0.3
done
curl -s http://127.0.0.1:8000/install.sh | sh
kill $server
