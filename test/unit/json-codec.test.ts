import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonCodec } from '../../src/codec/json-codec.js'
import { SerializationError } from '../../src/errors.js'

const secret = 'SECRET-4711'

function refusal(value: unknown): SerializationError {
  try {
    jsonCodec.encode(value)
  } catch (error) {
    expect(error).toBeInstanceOf(SerializationError)
    return error as SerializationError
  }
  throw new Error('expected a refusal')
}

function nested(depth: number): unknown {
  let value: unknown = 'core'
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { level: value }
  return value
}

describe('the JSON codec', () => {
  it('gives back any value that JSON can hold, with its keys in their order', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const decoded = jsonCodec.decode(jsonCodec.encode(value))
        expect(JSON.stringify(decoded)).toBe(JSON.stringify(value))
      }),
      { numRuns: 500 },
    )
  })

  it('gives back lone surrogates inside strings', () => {
    expect(jsonCodec.decode(jsonCodec.encode(['\ud800', { '\udfff': 1 }]))).toEqual(['\ud800', { '\udfff': 1 }])
  })

  it('gives back the extremes of numbers', () => {
    for (const value of [Number.MAX_VALUE, Number.MIN_VALUE, -Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 0.1 + 0.2]) {
      expect(jsonCodec.decode(jsonCodec.encode(value))).toBe(value)
    }
  })

  it('gives back values nested 500 deep', () => {
    expect(jsonCodec.decode(jsonCodec.encode(nested(500)))).toEqual(nested(500))
  })

  it('refuses what is nested too deep with an error of its own, at any depth', () => {
    let refusals = 0
    for (let depth = 500; depth < 60_000; depth = Math.ceil(depth * 1.1)) {
      try {
        jsonCodec.encode(nested(depth))
      } catch (error) {
        expect(error).toBeInstanceOf(SerializationError)
        refusals++
      }
    }
    expect(refusals).toBeGreaterThan(0)
  })

  it('writes a Date as its ISO string and leaves out undefined properties', () => {
    expect(jsonCodec.encode({ at: new Date(0), nothing: undefined })).toBe('{"at":"1970-01-01T00:00:00.000Z"}')
  })

  it('writes objects with toJSON as they say, and asks them once per level', () => {
    expect(jsonCodec.encode({ price: { toJSON: () => ({ euros: 5 }) } })).toBe('{"price":{"euros":5}}')
    const itself = {
      amount: 3,
      toJSON() {
        return { ...this }
      },
    }
    expect(() => jsonCodec.encode({ itself: { amount: 3, toJSON: () => ({ amount: 3 }) } })).not.toThrow()
    expect(refusal(itself).message).toContain('got function')
  })

  it.each<[string, () => unknown, string]>([
    ['undefined', () => undefined, 'value: expected a value that JSON can hold, got undefined'],
    ['a function', () => () => secret, 'got function'],
    ['a symbol', () => Symbol(secret), 'got symbol'],
    ['a BigInt', () => 5n, 'BigInt'],
    ['NaN', () => Number.NaN, 'got NaN'],
    ['an infinity', () => Number.NEGATIVE_INFINITY, 'got -Infinity'],
    ['a Map', () => new Map([[secret, secret]]), 'got Map'],
    ['a Set', () => new Set([secret]), 'got Set'],
    ['a WeakMap', () => new WeakMap(), 'got WeakMap'],
    ['a RegExp', () => new RegExp(secret), 'got RegExp'],
    ['an Error', () => new Error(secret), 'got Error'],
    ['a typed array', () => new Uint8Array(2), 'got Uint8Array'],
    ['a Promise', () => Promise.resolve(secret), 'got Promise'],
    ['a boxed number', () => Object(3), 'got Number'],
    ['an invalid Date', () => new Date(Number.NaN), 'got Invalid Date'],
    ['toJSON that returns undefined', () => ({ secret, toJSON: () => undefined }), 'got undefined'],
    ['toJSON that returns NaN', () => ({ secret, toJSON: () => Number.NaN }), 'got NaN'],
    ['toJSON that returns a Map', () => ({ secret, toJSON: () => new Map() }), 'got Map'],
  ])('refuses %s anywhere, without repeating what was around it', (_name, make, message) => {
    expect(refusal(make()).message).toContain(message)
    const places = [[secret, make()], { secret, inner: [{ deep: make() }] }]
    // An undefined property reads as undefined all the same, so that one is no loss.
    for (const place of make() === undefined ? [[secret, undefined]] : places) {
      const error = refusal(place)
      expect(error.message).toContain(message.replace(/^value: /, ''))
      expect(inspect(error)).not.toContain(secret)
    }
  })

  it('refuses a hole in an array', () => {
    expect(refusal(new Array(2)).message).toContain('value[0]')
  })

  it('refuses a cycle', () => {
    const cycle: Record<string, unknown> = { secret }
    cycle.self = cycle
    expect(refusal(cycle).message).toContain('cycle')
    expect(inspect(refusal(cycle))).not.toContain(secret)
  })

  it('names the place of what it refuses', () => {
    expect(refusal({ lines: [{ price: 1 }, { price: Number.NaN }] }).message).toContain('value.lines[1].price')
  })

  it('does not repeat a stored text that is no JSON', () => {
    let thrown: unknown
    try {
      jsonCodec.decode(`{"a": ${secret}`)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(SerializationError)
    expect(inspect(thrown)).not.toContain(secret)
  })
})
