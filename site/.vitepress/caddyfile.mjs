// Colours for Caddyfiles, which the highlighter does not know.

export default {
  name: 'caddyfile',
  scopeName: 'source.caddyfile',
  patterns: [
    { name: 'comment.line', match: '(^|\\s)#.*$' },
    { name: 'variable.parameter', match: '\\{[$\\w.:/*-]+\\}' },
    { name: 'string.quoted', match: '"[^"]*"|`[^`]*`' },
    { match: '^\\s*(@?[\\w-]+)(?=\\s|$)', captures: { 1: { name: 'keyword' } } },
    { name: 'constant.numeric', match: '\\b\\d+(ms|[smhd]|[kKMG]i?B)?\\b' },
  ],
}
