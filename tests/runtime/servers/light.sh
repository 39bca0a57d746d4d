# An MCP server over stdio of a megabyte: one tool, `increment`, which counts its calls.
count=0
while read -r line; do
    id=${line#*\"id\":}
    id=${id%%[,\}]*}
    case $line in
    *'"method":"initialize"'*)
        result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"light","version":"1"}}'
        ;;
    *'"method":"tools/list"'*)
        result='{"tools":[{"name":"increment","description":"Counts.","inputSchema":{"type":"object"}}]}'
        ;;
    *'"method":"tools/call"'*)
        count=$((count + 1))
        result="{\"content\":[{\"type\":\"text\",\"text\":\"$count\"}]}"
        ;;
    *'"method":"server/discover"'*)
        echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}"
        continue
        ;;
    *'"method":"ping"'*) result='{}' ;;
    *) continue ;;
    esac
    echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$result}"
done
