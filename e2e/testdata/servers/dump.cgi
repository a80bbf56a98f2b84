#!/bin/sh
# Answers with the variables of a CGI program, a line each.
printf 'Content-Type: text/plain\r\n\r\n'
env
echo "ROUTE=$SCRIPT_NAME$PATH_INFO"
