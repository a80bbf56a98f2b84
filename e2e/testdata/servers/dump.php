<?php
// Answers with every way in which a PHP program reads who asks, a line each.
header('Content-Type: text/plain');
foreach ($_SERVER as $name => $value) {
    if (is_string($value)) {
        echo "$name=$value\n";
    }
}
foreach (getallheaders() as $name => $value) {
    echo "LIST_$name=$value\n";
}
echo 'ROUTE=/', basename(__DIR__), '/', basename(__FILE__), $_SERVER['PATH_INFO'] ?? '', "\n";
