docker run -d --name box -e FROM=container sockerless/base sleep 1000
docker exec box echo hello
docker exec box sh -c 'echo out; echo err >&2; exit 7'
docker exec -e EXTRA=1 -w /tmp box sh -c 'echo "$FROM $EXTRA $PWD"'
echo piped | docker exec -i box cat
seq 1 50000 | docker exec -i box md5sum
docker exec box cat /dev/null
docker exec -u nobody box id -un
docker exec -u nosuch box true
docker exec box nosuchprogram
docker exec box /etc/passwd
docker exec -w /nosuch box pwd
docker exec -d box sh -c 'echo detached > /tmp/d'; docker exec box sh -c 'while ! test -s /tmp/d; do sleep 0.1; done; cat /tmp/d'
docker exec nosuch true
docker exec box sh -c 'kill -9 $$'
docker exec box sh -c 'seq 1 100000' | md5sum
docker exec box ps -o pid,args | head -n 2
docker pause box
docker exec box true
docker unpause box
docker exec box echo again
docker exec box sh -c 'echo $0 $1' a b
docker exec box kill -TERM 1; docker exec box echo still there
docker stop -t 0 box
docker exec box true
docker rm box
