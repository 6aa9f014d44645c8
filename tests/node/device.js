// Devices and modules, by azure-iot-device and its transports.
'use strict';

const { Readable } = require('node:stream');

const { Client, Message, ModuleClient } = require('azure-iot-device');
const amqp = require('azure-iot-device-amqp');
const http = require('azure-iot-device-http');
const mqtt = require('azure-iot-device-mqtt');

const TRANSPORTS = { ...amqp, ...http, ...mqtt };

function outgoing({ body, properties = {}, ...system }) {
  const message = Object.assign(new Message(body), system);
  for (const [name, value] of Object.entries(properties)) message.properties.add(name, value);
  return message;
}

function incoming({ data, properties, messageId, correlationId, contentType, contentEncoding }) {
  const own = Object.fromEntries(properties.propertyList.map(({ key, value }) => [key, value]));
  return { body: data.toString(), properties: own, messageId, correlationId, contentType, contentEncoding };
}

exports.calls = (emit) => {
  const clients = new Map();
  const twins = new Map();
  const messages = new Map();
  const at = (name) => clients.get(name);

  return {
    async open(name, transport, connectionString, options) {
      const factory = connectionString.includes('ModuleId=') ? ModuleClient : Client;
      const client = factory.fromConnectionString(connectionString, TRANSPORTS[transport]);
      client.on('error', (error) => emit('error', { name, error: error.message }));
      client.on('disconnect', () => emit('disconnect', { name }));
      clients.set(name, client);
      // Not awaited: over HTTPS the SDK takes a certificate at once and then never says so.
      if (options) client.setOptions(options);
      await client.open();
    },
    async close(name) {
      at(name).removeAllListeners();
      await at(name).close();
      clients.delete(name);
    },
    send: async (name, message) => void (await at(name).sendEvent(outgoing(message))),
    sendBatch: async (name, batch) => void (await at(name).sendEventBatch(batch.map(outgoing))),
    sendOutput: async (name, output, message) => void (await at(name).sendOutputEvent(output, outgoing(message))),

    async twin(name) {
      const twin = await at(name).getTwin();
      twins.set(name, twin);
      return { desired: twin.properties.desired, reported: twin.properties.reported };
    },
    // The SDK calls a handler at once with all desired properties, then with each patch.
    watchDesired: (name) => void twins.get(name).on('properties.desired', (patch) => emit('desired', { name, patch })),
    report: (name, patch) =>
      new Promise((resolve, reject) => {
        twins.get(name).properties.reported.update(patch, (error) => (error ? reject(error) : resolve(null)));
      }),

    // Answers every call with its own payload.
    answerMethod(name, method, status) {
      const handler = (request, response) => {
        emit('method', { name, method: request.methodName, payload: request.payload });
        response.send(status, request.payload);
      };
      const client = at(name);
      if (client instanceof ModuleClient) client.onMethod(method, handler);
      else client.onDeviceMethod(method, handler);
    },

    listen(name) {
      at(name).on('message', (message) => {
        messages.set(message.messageId, message);
        emit('message', { name, ...incoming(message) });
      });
    },
    // In one call, which asks the hub, uploads and tells.
    async upload(name, blob, text) {
      const body = Buffer.from(text);
      await at(name).uploadToBlob(blob, Readable.from([body]), body.length);
    },
    // In its parts, as programs do that upload themselves.
    uploadInfo: (name, blob) => at(name).getBlobSharedAccessSignature(blob),
    uploadDone: async (name, correlationId, isSuccess) =>
      void (await at(name).notifyBlobUploadStatus(correlationId, isSuccess, isSuccess ? 200 : 500, 'by a test')),
    async putBlob({ hostName, containerName, blobName, sasToken }, text) {
      const url = `https://${hostName}/${containerName}/${blobName}${sasToken}`;
      const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2021-08-06' };
      return (await fetch(url, { method: 'PUT', headers, body: text })).status;
    },
    // verdict: complete, reject or abandon.
    settle: async (name, verdict, messageId) => void (await at(name)[verdict](messages.get(messageId))),
  };
};
