import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.{contract,test}.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // The machines that run this are shared and noisy; what hangs is still found out.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
})
