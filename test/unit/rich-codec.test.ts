import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { richCodec } from '../../src/codec/rich-codec.js'
import { SerializationError } from '../../src/errors.js'

const secret = 'SECRET-4711'
const roundTrip = (value: unknown): unknown => richCodec.decode(richCodec.encode(value))

function refusal(value: unknown): SerializationError {
  try {
    richCodec.encode(value)
  } catch (error) {
    expect(error).toBeInstanceOf(SerializationError)
    return error as SerializationError
  }
  throw new Error('expected a refusal')
}

const forbiddenNames = ['__proto__', 'constructor', 'prototype']
const propertyName = fc
  .oneof(fc.string({ maxLength: 5 }), fc.string({ unit: fc.constantFrom(...'a.\\0'), maxLength: 5 }))
  .filter((name) => !forbiddenNames.includes(name))
const { value: richValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.bigInt(),
      fc.boolean(),
      fc.constantFrom(null, undefined, Number.NaN, -0, Number.POSITIVE_INFINITY),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array({ maxLength: 4 }),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(propertyName, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(fc.string(), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
}))

describe('the rich codec', () => {
  it('gives back undefined, NaN, -0, infinities, Date, BigInt, Map, Set and bytes, however nested', () => {
    fc.assert(
      fc.property(richValue, (value) => {
        expect(roundTrip(value)).toStrictEqual(value)
      }),
      { numRuns: 1_000 },
    )
  })

  it('gives back an error with its name, message, cause and code', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string({ minLength: 1 }), richValue, (message, code, name, cause) => {
        const error = Object.assign(new Error(message, { cause: new TypeError('below', { cause }) }), { code, name })
        const back = (roundTrip([error, undefined]) as [Error & { code: string }, undefined])[0]
        expect(back).toBeInstanceOf(Error)
        expect(back).toMatchObject({ name, message, code })
        expect(back.cause).toBeInstanceOf(Error)
        expect(back.cause).toMatchObject({ name: 'TypeError', message: 'below' })
        expect((back.cause as Error).cause).toStrictEqual(cause)
      }),
    )
  })

  it('does not store where an error was thrown', () => {
    expect(richCodec.encode(new Error('declined'))).not.toContain('rich-codec.test')
  })

  it('gives back URL and RegExp', () => {
    expect(roundTrip([new URL('https://example.org/a?b'), /a+/giu])).toEqual([
      new URL('https://example.org/a?b'),
      /a+/giu,
    ])
  })

  it('gives back cycles and shared objects', () => {
    const shared = { n: 1n }
    const cycle: Record<string, unknown> = { one: shared, other: shared }
    cycle.self = cycle
    const back = roundTrip(cycle) as typeof cycle
    expect(back.self).toBe(back)
    expect(back.one).toBe(back.other)
    expect(back.one).toEqual({ n: 1n })
  })

  it('gives back a Buffer', () => {
    const back = roundTrip({ receipt: Buffer.from([0, 127, 255]) }) as { receipt: Buffer }
    expect(Buffer.isBuffer(back.receipt)).toBe(true)
    expect([...back.receipt]).toEqual([0, 127, 255])
  })

  it('gives back typed arrays', () => {
    const arrays = [
      new Int8Array([-1]),
      new Uint8ClampedArray([9]),
      new Float64Array([0.5]),
      new Uint32Array([2 ** 32 - 1]),
    ]
    expect(roundTrip(arrays)).toStrictEqual(arrays)
  })

  it('gives back instances of classes as plain objects', () => {
    class Receipt {
      readonly number = 'R-1'
      readonly lines = [{ price: 5 }]
    }
    expect(roundTrip(new Receipt())).toStrictEqual({ number: 'R-1', lines: [{ price: 5 }] })
  })

  it.each<[string, (content: unknown) => unknown]>([
    ['an object', (content) => ({ secret, content })],
    ['an array', (content) => [secret, content]],
    ['a Map', (content) => new Map([[secret, content]])],
    ['the keys of a Map', (content) => new Map([[content, secret]])],
    ['a Set', (content) => new Set([secret, content])],
    ['the cause of an error', (cause) => new Error(secret, { cause })],
    ['an instance of a class', (content) => Object.assign(new (class Box {})(), { secret, content })],
  ])('refuses in %s what would not come back', (_name, put) => {
    const lost = [
      () => secret,
      Symbol(secret),
      Promise.resolve(secret),
      new WeakMap(),
      new ArrayBuffer(2),
      new BigInt64Array(1),
      new Date(Number.NaN),
    ]
    for (const content of lost) expect(inspect(refusal(put(content)))).not.toContain(secret)
  })

  it('refuses names that could change prototypes', () => {
    for (const name of ['constructor', 'prototype', '__proto__']) {
      const error = refusal([{ secret, inner: JSON.parse(`{"${name}": "${secret}"}`) }])
      expect(error.message).toContain(
        `value.0.inner: expected a value that can be stored, got a property named ${name}`,
      )
      expect(inspect(error)).not.toContain(secret)
    }
  })

  it('refuses in an instance of a class what JSON would change', () => {
    class Outcome {
      readonly content: unknown
      constructor(content: unknown) {
        this.content = content
      }
    }
    for (const content of [new Error(secret), 5n, Number.NaN, new Map(), new Set(), [undefined]]) {
      expect(inspect(refusal(new Outcome(content)))).not.toContain(secret)
    }
  })

  it('gives back values nested 500 deep and refuses deeper ones, if it has to, with an error of its own', () => {
    let refusals = 0
    for (let depth = 500; depth < 60_000; depth *= 2) {
      let value: unknown = 5n
      for (let level = 0; level < depth; level++) value = [value]
      try {
        const text = richCodec.encode(value)
        if (depth === 500) expect(richCodec.decode(text)).toEqual(value)
      } catch (error) {
        expect(depth).toBeGreaterThan(500)
        expect(error).toBeInstanceOf(SerializationError)
        refusals++
      }
    }
    expect(refusals).toBeGreaterThan(0)
  })

  it('does not repeat a stored text that is none of its own', () => {
    for (const text of [secret, `{"json": ${secret}`, `{"json":"${secret}","meta":{"values":["bigint"],"v":1}}`]) {
      let thrown: unknown
      try {
        richCodec.decode(text)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(SerializationError)
      expect(inspect(thrown)).not.toContain(secret)
    }
  })
})
