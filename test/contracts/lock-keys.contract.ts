import { MySQLAdapter } from 'goscope-mysql'
import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { taken } from '../support/locks.js'

// What a database, a file system or a reader might take for one and the same key.
const lookAlikes = [
  'straße',
  'strasse',
  'STRASSE',
  'Straße',
  'straẞe',
  'straße ',
  'straße  ',
  ' straße',
  'straße␠',
  'straße ␠',
  'straße␠␠',
  'straße\u0000',
  'straße\t',
  'straße\n',
  'straße\u00a0',
  'straße\u200b',
  'stráße',
  'stra\u0301ße',
  'ｓtraße',
  'ﬆraße',
  'strаße',
  'straße\u2764',
  'straße\u2764\ufe0f',
  'straße👍',
  'straße👍🏽',
  'ſtraße',
]

const awkward = [
  '%',
  '_',
  '100%',
  'a_b',
  'axb',
  '\\',
  '\\\\',
  '\\%',
  "'",
  "''",
  "\\'",
  '"',
  '`',
  '``',
  '\n',
  '\r\n',
  '\u0000',
  '\u001a',
  "'; drop table go_goscope_locks; -- ",
  '?',
  ':name',
  '/*! */',
  '|',
]

onEveryServer('keys of locks', (context) => {
  it('that look alike are different locks', async () => {
    const state = await context.adapter()
    expect(new Set(lookAlikes).size).toBe(26)
    const locks = await Promise.all(lookAlikes.map((key) => taken(state.acquire(key, 60_000))))
    expect(locks.map((lock) => lock.key)).toEqual(lookAlikes)
    expect(await Promise.all(locks.map((lock) => lock.isValid()))).not.toContain(false)
    expect(await Promise.all(lookAlikes.map((key) => state.acquire(key, 60_000)))).toEqual(lookAlikes.map(() => null))

    for (const [index, lock] of locks.entries()) {
      await lock.release()
      const valid = await Promise.all(locks.slice(index + 1).map((later) => later.isValid()))
      expect(valid, `after the release of ${JSON.stringify(lock.key)}`).not.toContain(false)
    }
  })

  it('may hold wildcards, quotes, backslashes, line breaks and NUL, and so may prefixes', async () => {
    await context.adapter()
    const pool = context.pool()
    for (const keyPrefix of ['', '%', '_', '\\', "'", '"', '`', '\n', "'); -- ", 'a%_\\\'"`\n:']) {
      const state = new MySQLAdapter(pool, { keyPrefix })
      const locks = await Promise.all(awkward.map((key) => taken(state.acquire(key, 60_000))))
      for (const lock of locks) {
        expect(await state.acquire(lock.key, 60_000), JSON.stringify([keyPrefix, lock.key])).toBeNull()
      }
      const [first, ...others] = locks
      await first?.release()
      expect(await Promise.all(others.map((lock) => lock.extend(60_000)))).not.toContain(false)
      await state.forceRelease('%')
      expect(await Promise.all(others.map((lock) => lock.isValid()))).not.toContain(false)
    }
  })

  it('of different prefixes are different locks, however prefix and key are made', async () => {
    const prefixes = [
      'p',
      'p:',
      'P:',
      'p:x:',
      'x:lock:',
      'lock:',
      'lock:lock:',
      'lock',
      'lock␛:',
      'lock␛␛:',
      'x:lock␛:',
      'x:lock:lock:',
      'tasklock:',
      'circuit:',
      'cache:lock:',
      'idempotency:',
      'lock: ',
      'lo',
    ]
    const keys = ['k', 'lock:k', 'x:lock:k', 'lock:lock:k', ':k', '␛:k', '␛:lock:k', 'ck:lock:k', 'x:k', ' ', ' ␠', '']
    await context.adapter()
    const pool = context.pool()
    const granted: unknown[] = []
    for (const keyPrefix of prefixes) {
      const state = new MySQLAdapter(pool, { keyPrefix })
      granted.push(...(await Promise.all(keys.map((key) => state.acquire(key, 60_000)))))
    }
    expect(granted).toHaveLength(prefixes.length * keys.length)
    expect(granted).not.toContain(null)
  })

  it('of different prefixes are released and forced apart', async () => {
    const billing = await context.adapter({ keyPrefix: 'billing:' })
    const shipping = await context.adapter({ keyPrefix: 'shipping:' })
    const lock = await taken(billing.acquire('nightly', 60_000, 'worker'))
    const same = await taken(shipping.acquire('nightly', 60_000, 'worker'))
    await shipping.forceRelease('nightly')
    expect(await same.isValid()).toBe(false)
    expect(await lock.isValid()).toBe(true)
    expect(await shipping.extend('nightly', 60_000, 'worker')).toBe(false)
    expect(await billing.extend('nightly', 60_000, 'worker')).toBe(true)
  })

  it('leave room for the prefix, and are refused when they do not', async () => {
    const keyPrefix = 'p'.repeat(256)
    const state = await context.adapter({ keyPrefix })
    const longest = 'k'.repeat(512 - keyPrefix.length - 'lock:'.length)
    await taken(state.acquire(longest, 60_000))
    expect(await state.acquire(longest, 60_000)).toBeNull()
    await expect(state.acquire(`${longest}k`, 60_000)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})
