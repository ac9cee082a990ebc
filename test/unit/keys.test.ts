import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvalidArgumentError } from '../../src/errors.js'
import {
  compareCodePoints,
  decodeText,
  encodeText,
  escapeLike,
  globToLike,
  type KeyKind,
  KeySpace,
  rangeOf,
} from '../../src/keys.js'

const kinds: readonly KeyKind[] = ['lock', 'circuit', 'cache', 'checkpoint', 'task', 'idempotency']

// Every piece means something to the encoding, or comes close to it.
const pieces = [
  ...kinds,
  ...kinds.map((kind) => `${kind}:`),
  ...kinds.map((kind) => `${kind}\u241b:`),
  'check',
  'point:',
  'lo',
  'ck:',
  'b',
  ':',
  ' ',
  '\u2420',
  '\u241b',
  '😀',
  '\0',
  'é',
]
const adversarial = fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map((parts) => parts.join(''))
const text = fc.oneof(
  { weight: 4, arbitrary: adversarial },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
)
const name = fc.record({ prefix: text, kind: fc.constantFrom(...kinds), key: text })

// What the column's collation (utf8mb4_bin, PAD SPACE) takes for the same text.
const asTheServerComparesIt = (stored: string) => stored.replace(/ +$/, '')

describe('a stored text', () => {
  it('decodes to the text it was made from', () => {
    fc.assert(fc.property(text, (original) => decodeText(encodeText(original)) === original))
  })

  it('never ends in a space', () => {
    fc.assert(fc.property(text, (original) => !encodeText(original).endsWith(' ')))
  })

  it('differs from that of any other text by more than trailing spaces', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        fc.pre(one !== other)
        expect(asTheServerComparesIt(encodeText(one))).not.toBe(asTheServerComparesIt(encodeText(other)))
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a stored key', () => {
  it('decodes to the key it was made from', () => {
    fc.assert(
      fc.property(name, ({ prefix, kind, key }) => {
        const space = new KeySpace(prefix, kind)
        expect(space.fromStored(space.toStored(key))).toBe(key)
      }),
      { numRuns: 1_000 },
    )
  })

  it('begins with the start of its key space', () => {
    fc.assert(
      fc.property(name, ({ prefix, kind, key }) => {
        const space = new KeySpace(prefix, kind)
        expect(space.toStored(key).startsWith(space.start)).toBe(true)
      }),
    )
  })

  it('belongs to one prefix, kind and key', () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        fc.pre(one.prefix !== other.prefix || one.kind !== other.kind || one.key !== other.key)
        const stored = [one, other].map(({ prefix, kind, key }) => new KeySpace(prefix, kind).toStored(key))
        expect(asTheServerComparesIt(stored[0] ?? '')).not.toBe(asTheServerComparesIt(stored[1] ?? ''))
      }),
      { numRuns: 20_000 },
    )
  })

  it('belongs to one prefix, kind and key in every short combination of the pieces', () => {
    const owners = new Map<string, string>()
    const texts = [...new Set(['', ...pieces, ...pieces.flatMap((first) => pieces.map((second) => first + second))])]
    for (const prefix of texts) {
      for (const kind of kinds) {
        const space = new KeySpace(prefix, kind)
        for (const key of ['', ...pieces]) {
          const stored = asTheServerComparesIt(space.toStored(key))
          const owner = JSON.stringify([prefix, kind, key])
          // One comparison per name would be slow in the assertion library.
          if (owners.has(stored)) expect(owner).toBe(owners.get(stored))
          owners.set(stored, owner)
        }
      }
    }
    expect(owners.size).toBe(texts.length * kinds.length * (pieces.length + 1))
  })

  it('is not in the space of another prefix or kind', () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        fc.pre(one.prefix !== other.prefix || one.kind !== other.kind)
        const stored = new KeySpace(one.prefix, one.kind).toStored(one.key)
        expect(stored.startsWith(new KeySpace(other.prefix, other.kind).start)).toBe(false)
      }),
      { numRuns: 20_000 },
    )
  })

  it.each([
    ['', 'lock', 'invoice:42', 'lock:invoice:42'],
    ['billing:', 'cache', 'rates', 'billing:cache:rates'],
    ['block', 'task', 'lock:x', 'blocktask:lock:x'],
    ['cache:', 'cache', 'a', 'cache\u241b:cache:a'],
    ['cache\u241b:', 'cache', 'a', 'cache\u241b\u241b:cache:a'],
    ['', 'cache', 'a ', 'cache:a \u2420'],
    ['', 'cache', 'a\u2420', 'cache:a\u2420\u2420'],
  ] as const)('of the prefix %j, the kind %s and the key %j is %j', (prefix, kind, key, stored) => {
    expect(new KeySpace(prefix, kind).toStored(key)).toBe(stored)
  })

  it.each(['a', '😀', 'é'])('holds up to 512 times %s, prefix and kind included', (character) => {
    const space = new KeySpace('shop:', 'cache')
    const room = 512 - space.start.length
    const longest = character.repeat(room)
    expect(space.fromStored(space.toStored(longest))).toBe(longest)
    expect(() => space.toStored(longest + character)).toThrow(InvalidArgumentError)
    expect(() => space.toStored(longest + character)).toThrow(`at most ${room} characters`)
  })

  it('counts the sign that guards a trailing space', () => {
    const space = new KeySpace('', 'lock')
    const room = 512 - space.start.length
    expect(() => space.toStored(`${'a'.repeat(room - 2)} `)).not.toThrow()
    expect(() => space.toStored(`${'a'.repeat(room - 1)} `)).toThrow(
      `at most ${room} characters (512 with the prefix), got ${room + 1}`,
    )
  })

  it('leaves 512 characters to the key and the kind at the longest prefix', () => {
    const space = new KeySpace('task:'.repeat(51), 'idempotency')
    expect(() => space.toStored('a'.repeat(190))).not.toThrow()
  })

  it('cannot be made from a lone surrogate', () => {
    const lone = fc
      .tuple(fc.string({ unit: 'binary', maxLength: 5 }), fc.integer({ min: 0xd800, max: 0xdfff }))
      .map(([before, unit]) => `${before}${String.fromCharCode(unit)}.`)
      .filter((candidate) => !candidate.isWellFormed())
    fc.assert(
      fc.property(lone, (key) => {
        expect(() => new KeySpace('', 'lock').toStored(key)).toThrow(/lone surrogate/)
      }),
    )
  })

  it('cannot be made from anything but a string', () => {
    for (const key of [undefined, null, 7, {}, ['a'], Symbol('a')]) {
      expect(() => new KeySpace('', 'lock').toStored(key as string)).toThrow(/lock key: expected a string, got/)
    }
  })
})

describe('a glob', () => {
  it.each([
    ['', '', ''],
    ['user:*', 'user:', 'user:%'],
    ['user:?', 'user:', 'user:_'],
    ['*', '', '%'],
    ['50%_|*', '50%_|', '50|%|_||%'],
    ['a\\*b*', 'a*b', 'a*b%'],
    ['a\\?b?', 'a?b', 'a?b_'],
    ['a\\\\*', 'a\\', 'a\\%'],
    ['a\\b', 'a\\b', 'a\\b'],
    ['a\\', 'a\\', 'a\\'],
    ['\n*\u2028', '\n', '\n%\u2028'],
  ])('%j has the literal start %j and the pattern %j', (glob, start, pattern) => {
    expect(globToLike(glob)).toEqual({ start, pattern })
  })

  it('has its literal start at the beginning of its pattern', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab*?\\%_|'), maxLength: 12 }), (glob) => {
        const { start, pattern } = globToLike(glob)
        expect(pattern.startsWith(escapeLike(start))).toBe(true)
        expect(pattern.slice(escapeLike(start).length)).toMatch(/^([%_]|$)/)
      }),
    )
  })

  it('cannot hold a lone surrogate, and is a string', () => {
    expect(() => globToLike('\udc00*')).toThrow(/pattern: expected well-formed Unicode/)
    expect(() => globToLike(7 as unknown as string)).toThrow(/pattern: expected a string, got number/)
  })
})

describe('an escaped LIKE pattern', () => {
  it('keeps all characters, with the wildcards made literal', () => {
    expect(escapeLike('50%_|\\\'"')).toBe('50|%|_||\\\'"')
  })
})

describe('the range of a start', () => {
  it('holds every stored key that begins with it, as the database compares them', () => {
    const padded = (stored: string) => Buffer.from(stored.padEnd(600, ' '))
    fc.assert(
      fc.property(name, fc.nat(20), ({ prefix, kind, key }, length) => {
        const stored = new KeySpace(prefix, kind).toStored(key)
        const { from, to } = rangeOf([...stored].slice(0, length).join(''))
        expect(Buffer.compare(padded(from), padded(stored))).toBeLessThanOrEqual(0)
        expect(Buffer.compare(padded(stored), padded(to))).toBeLessThanOrEqual(0)
      }),
    )
  })

  it('is as long as the longest key, and begins below it', () => {
    for (const start of ['', 'cache:', '😀'.repeat(511)]) {
      const { from, to } = rangeOf(start)
      expect([[...from].length, [...to].length]).toEqual([513, 512])
    }
  })
})

describe('the order of keys', () => {
  it('is that of their UTF-8 bytes', () => {
    const unit = fc.oneof(
      fc.constantFrom('a', ' ', '\0', '\ue000', '\uffff', '😀', '\u{10ffff}'),
      fc.string({ unit: 'binary' }),
    )
    const key = fc.array(unit, { maxLength: 4 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(key, key, (one, other) => {
        const expected = Buffer.compare(Buffer.from(one), Buffer.from(other))
        expect(Math.sign(compareCodePoints(one, other))).toBe(expected)
      }),
      { numRuns: 2_000 },
    )
  })
})
