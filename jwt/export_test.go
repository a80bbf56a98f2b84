// Access for the tests of this package.

package jwt

// Reserved is reserved.
var Reserved = reserved
