// How the search splits text.

/**
 * Words as they are, and Chinese in pairs of characters: 退出登录 is 退出, 出登, 登录. A dictionary such as that of
 * Intl.Segmenter splits one sentence differently from browser to browser, and the index is built by another program than
 * the one that asks. VitePress copies this function's text into the page, so it uses nothing from outside.
 */
export function tokenize(text) {
  const terms = []
  for (const [run] of text.matchAll(/\p{Script=Han}+|(?:(?!\p{Script=Han})[\p{L}\p{M}\p{N}])+/gu)) {
    const characters = [...run]
    if (characters.length < 3 || !/\p{Script=Han}/u.test(run)) terms.push(run)
    else for (let i = 1; i < characters.length; i++) terms.push(characters[i - 1] + characters[i])
  }
  return terms
}
