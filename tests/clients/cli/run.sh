# Every line is one step: run by sh, its exit code, standard output and standard error compared.
docker run --rm sockerless/base echo hello
docker run --rm sockerless/base sh -c 'echo out; echo err >&2; exit 3'
docker run --rm sockerless/base true; docker run --rm sockerless/base false
echo from stdin | docker run --rm -i sockerless/base cat
echo not attached | docker run --rm sockerless/base cat
seq 1 20000 | docker run --rm -i sockerless/base sh -c 'sort -n -r | tail -n 2'
docker run --rm -e A=1 -e B="two words" --env-file /dev/null sockerless/base sh -c 'echo "$A $B"; env | grep -E "^(PATH|HOME|HOSTNAME)=" | sed "s/HOSTNAME=.*/HOSTNAME=/" | sort'
docker run --rm -w /tmp sockerless/base pwd
docker run --rm -w /made/up sockerless/base pwd
docker run --rm --hostname box --domainname example.test sockerless/base sh -c 'hostname; cat /etc/hostname'
docker run --rm --user 65534:65534 sockerless/base sh -c 'id -u; id -g; touch /x'
docker run --rm --user nobody sockerless/base id -un
docker run --rm --user nosuch sockerless/base true
docker run --rm --entrypoint /bin/echo sockerless/base from entrypoint
docker run --rm sockerless/base nosuchprogram
docker run --rm sockerless/base /etc
docker run --rm sockerless/base /etc/passwd
docker run --rm 127.0.0.1:1/image:1 true 2>&1 | head -n 1
docker run --rm --read-only sockerless/base touch /file
docker run --rm --read-only --tmpfs /scratch sockerless/base touch /scratch/file
docker run --rm -v data:/data sockerless/base sh -c 'echo kept > /data/f'
docker run --rm -v data:/data:ro sockerless/base sh -c 'cat /data/f; echo no > /data/f'
mkdir -p bound && echo from the host > bound/f && docker run --rm -v "$PWD/bound:/b" sockerless/base sh -c 'cat /b/f; echo written > /b/g' && cat bound/g
docker run --rm --mount type=bind,source=/nosuch/folder,target=/b sockerless/base true
docker run --rm --label a=b --name named sockerless/base true; docker ps -a --filter name=named -q
docker run -d --name detached sockerless/base sh -c 'echo started; sleep 1000'
docker run --name detached sockerless/base true
docker run --rm --volumes-from detached --network container:detached sockerless/base hostname | wc -c
docker rm -f detached
docker run --name leaves sockerless/base sh -c 'exit 42'; docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' leaves
docker rm leaves
docker run --rm sockerless/base sh -c 'kill -9 $$'
docker run --rm sockerless/base sh -c 'kill -TERM $$; sleep 1; echo pid 1 ignores what it does not handle'
docker run --rm --init sockerless/base echo with init
docker run --rm --cidfile id sockerless/base true; wc -c < id
docker run --rm --network none sockerless/base ifconfig -a | grep -c Link
docker run --rm --add-host other:10.1.2.3 sockerless/base grep other /etc/hosts
docker run --rm --memory 1m sockerless/base true
docker run --rm -p 99999:80 sockerless/base true
docker run --rm --restart always sockerless/base true
docker run --rm sockerless/base cat /proc/1/comm /proc/self/cmdline | tr '\0' ' '
docker run --rm sockerless/base sh -c 'ulimit -n > /dev/null && umask && pwd && tty'
docker run --rm --stop-signal FOO sockerless/base true
docker run -a stdout --rm sockerless/base sh -c 'echo out; echo err >&2'
docker run --rm --pull never sockerless/nosuch true
docker volume rm data
