import { InvalidArgumentError } from './errors.js'

/** What a stored key names. Kinds keep the providers' rows apart where they share a table. */
export type KeyKind = 'lock' | 'circuit' | 'cache' | 'checkpoint' | 'task' | 'idempotency'

/** The longest stored key, prefix and kind included, in characters (code points). */
export const MAXIMUM_KEY_LENGTH = 512

/** The longest owner of a lock, in characters (code points). */
export const MAXIMUM_OWNER_LENGTH = 255

/**
 * The columns' collation compares by code point but pads with spaces: to the server 'a' equals 'a '.
 * A text that ends in a space, or in this sign itself, is stored with the sign appended.
 */
const SPACE_GUARD = '\u2420'

/** Breaks up a kind marker inside a prefix, so that no two (prefix, key) pairs name the same row. */
const MARKER_BREAK = '\u241b'
const markers = /(lock|circuit|cache|checkpoint|task|idempotency)(\u241b*):/g

/** The form in which a key, an owner or an id is stored. */
export function encodeText(text: string): string {
  return text.endsWith(' ') || text.endsWith(SPACE_GUARD) ? text + SPACE_GUARD : text
}

/** The reverse of {@link encodeText}. */
export function decodeText(stored: string): string {
  return stored.endsWith(SPACE_GUARD) ? stored.slice(0, -1) : stored
}

/**
 * Refuses a text that a column could not hold unchanged.
 *
 * @throws {@link InvalidArgumentError}
 */
export function assertStorable(name: string, text: unknown, maximumLength: number): asserts text is string {
  if (typeof text !== 'string') {
    throw new InvalidArgumentError(`${name}: expected a string, got ${text === null ? 'null' : typeof text}`)
  }
  // A code point takes one or two code units: short texts need no counting.
  if (text.length >= maximumLength && lengthInCharacters(text) > maximumLength) {
    throw new InvalidArgumentError(
      `${name}: expected at most ${maximumLength} characters, got ${lengthInCharacters(text)}`,
    )
  }
  if (!text.isWellFormed()) {
    throw new InvalidArgumentError(`${name}: expected well-formed Unicode, got a lone surrogate`)
  }
}

function lengthInCharacters(text: string): number {
  let length = 0
  for (const _ of text) length++
  return length
}

/** The stored keys of one kind under one prefix: `<prefix><kind>:<key>`. */
export class KeySpace {
  /** What every stored key of this space begins with. */
  readonly start: string
  readonly #kind: KeyKind

  constructor(prefix: string, kind: KeyKind) {
    this.#kind = kind
    this.start = `${prefix.replace(markers, `$1$2${MARKER_BREAK}:`)}${kind}:`
  }

  /**
   * The stored form of a key.
   *
   * @throws {@link InvalidArgumentError} when the key cannot be stored unchanged.
   */
  toStored(key: string): string {
    assertStorable(`${this.#kind} key`, key, MAXIMUM_KEY_LENGTH)
    const stored = encodeText(this.start + key)
    if (stored.length > MAXIMUM_KEY_LENGTH && lengthInCharacters(stored) > MAXIMUM_KEY_LENGTH) {
      throw new InvalidArgumentError(
        `${this.#kind} key: expected at most ${MAXIMUM_KEY_LENGTH - lengthInCharacters(this.start)} characters ` +
          `(${MAXIMUM_KEY_LENGTH} with the prefix), got ${lengthInCharacters(encodeText(key))}`,
      )
    }
    return stored
  }

  /** The key as the caller knows it. */
  fromStored(stored: string): string {
    return decodeText(stored).slice(this.start.length)
  }
}

/** A text with LIKE's wildcards made literal. The escape character is `|`: the backslash depends on the sql_mode. */
export function escapeLike(text: string): string {
  return text.replace(/[%_|]/g, '|$&')
}

/** The keys that begin with a certain text are greater than `from`, and not greater than `to`. */
export interface KeyRange {
  readonly from: string
  readonly to: string
}

/**
 * The range of all stored keys that begin with `start`.
 *
 * Not left to LIKE: the servers let the range of `'a%'` begin at 'a', which counts as padded with spaces and so
 * comes after 'a\t', and end at 'a' with U+FFFF, which comes before 'a😀'. With `start` ending in a space the range
 * may hold one key more, `start` without it.
 */
export function rangeOf(start: string): KeyRange {
  const room = Math.max(0, MAXIMUM_KEY_LENGTH - lengthInCharacters(start))
  return { from: start + '\0'.repeat(room + 1), to: start + '\u{10ffff}'.repeat(room) }
}

/** Orders texts by code point, as `sort` expects it. UTF-16 puts surrogates before U+E000. */
export function compareCodePoints(one: string, other: string): number {
  const shared = Math.min(one.length, other.length)
  for (let index = 0; index < shared; index++) {
    const difference = rank(one.charCodeAt(index)) - rank(other.charCodeAt(index))
    if (difference !== 0) return difference
  }
  return one.length - other.length
}

function rank(codeUnit: number): number {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff ? codeUnit + 0x10000 : codeUnit
}

/** A glob for the database: `start` is its literal beginning, `pattern` all of it for LIKE. */
export interface LikePattern {
  readonly start: string
  readonly pattern: string
}

/**
 * Translates a glob: `*` stands for any run of characters and `?` for one; a backslash before `*`, `?` or `\`
 * makes that character literal. Everything else stands for itself.
 *
 * @throws {@link InvalidArgumentError} when it is not a well-formed string.
 */
export function globToLike(glob: string): LikePattern {
  assertStorable('pattern', glob, Number.POSITIVE_INFINITY)
  let start = ''
  let pattern = ''
  let isStart = true
  for (const [token] of glob.matchAll(/\\[*?\\]|./gsu)) {
    if (token === '*' || token === '?') {
      isStart = false
      pattern += token === '*' ? '%' : '_'
    } else {
      const literal = token.length === 2 && token.startsWith('\\') ? token.slice(1) : token
      if (isStart) start += literal
      pattern += escapeLike(literal)
    }
  }
  return { start, pattern }
}
