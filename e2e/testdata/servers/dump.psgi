# Answers with every way in which a PSGI application reads who asks, a line each.
sub {
    my ($env) = @_;
    my @lines = map { ref $env->{$_} || !defined $env->{$_} ? () : "$_=$env->{$_}\n" } keys %$env;
    return [200, ['Content-Type' => 'text/plain'], [@lines, "ROUTE=$env->{PATH_INFO}\n"]];
};
