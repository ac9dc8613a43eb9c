# echo stage two, hidden in base64
echo ZWNobyBzdGFnZSB0d287IGlkCg== | base64 -d | sh
