docker run -d -i --name reader sockerless/base sh -c 'read line; echo "got $line"; exit 4'
(echo hello; sleep 1) | docker attach reader
docker inspect -f '{{.State.ExitCode}}' reader
docker attach reader
docker logs reader
docker run --name talker sockerless/base sh -c 'echo one; echo two >&2; sleep 0.3; echo three; printf unfinished'
docker logs talker 2> /dev/null
docker logs talker 2>&1 > /dev/null
docker logs --tail 2 talker 2> /dev/null
docker logs --tail 0 talker
docker logs --tail all talker 2> /dev/null
docker logs -t talker 2> /dev/null | sed -E 's/^[0-9T:.Z-]+ /<time> /'
docker logs --since 2000-01-01 talker 2> /dev/null
docker logs --until 2000-01-01 talker
docker logs --since nonsense talker
docker logs -f talker 2> /dev/null
docker logs nosuch
docker start -a talker 2> /dev/null
docker logs talker 2> /dev/null | wc -l
docker run -d --name slow sockerless/base sh -c 'for i in 1 2 3; do echo $i; sleep 0.2; done'
docker logs -f slow
docker create --name never sockerless/base true
docker logs never
docker run --log-driver none --name silent sockerless/base echo seen
docker logs silent
docker attach never
docker rm reader talker slow never silent
