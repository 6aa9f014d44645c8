// Devices that ask for their hub, and the operators' side of the provisioning service, by the SDKs of it.
'use strict';

const net = require('node:net');

const { Client, Message } = require('azure-iot-device');
const { Mqtt: DeviceMqtt } = require('azure-iot-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const amqp = require('azure-iot-provisioning-device-amqp');
const http = require('azure-iot-provisioning-device-http');
const mqtt = require('azure-iot-provisioning-device-mqtt');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { TpmAuthenticationProvider, TpmSecurityClient } = require('azure-iot-security-tpm');
const { X509Security } = require('azure-iot-security-x509');
const { Tpm } = require('tss.js');

const TRANSPORTS = { ...amqp, ...http, ...mqtt };

// A TPM that takes its commands on a socket as a chip does: one after another, each answered by one response.
class SocketTpm {
  constructor(path) {
    this.path = path;
    this.received = Buffer.alloc(0);
    this.done = [];
  }
  connect(continuation) {
    this.socket = net.connect(this.path, () => setImmediate(continuation, null));
    this.socket.on('data', (data) => this.take(data));
    return null;
  }
  take(data) {
    this.received = Buffer.concat([this.received, data]);
    const size = this.received.length < 6 ? Infinity : this.received.readUInt32BE(2);
    if (this.received.length < size) return;
    const response = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    setImmediate(this.done.shift(), null, response);
  }
  dispatchCommand(command, continuation) {
    this.done.push(continuation);
    this.socket.write(command);
  }
  close() {
    this.socket.end();
  }
}

function securityOf(registrationId, { key, certificate, tpmPath }) {
  if (key) return new SymmetricKeySecurityClient(registrationId, key);
  if (certificate) return new X509Security(registrationId, certificate);
  const tpm = new Tpm(false);
  tpm.device = new SocketTpm(tpmPath);
  return new TpmSecurityClient(registrationId, tpm);
}

const plain = (value) => JSON.parse(JSON.stringify(value ?? null));

exports.calls = () => {
  const securities = new Map();
  let service;

  return {
    async provision(registrationId, transport, { host, scope }, credential, payload) {
      const security = securities.get(registrationId) ?? securityOf(registrationId, credential);
      securities.set(registrationId, security);
      const client = ProvisioningDeviceClient.create(host, scope, new TRANSPORTS[transport](), security);
      if (payload) client.setProvisioningPayload(payload);
      const result = await client.register();
      return plain(result.registrationState ?? result);
    },
    tpmKeys: (registrationId, tpmPath) => {
      const security = securityOf(registrationId, { tpmPath });
      securities.set(registrationId, security);
      const read = (name) => new Promise((resolve, reject) => {
        security[name]((error, key) => (error ? reject(error) : resolve(key.toString('base64'))));
      });
      return read('getEndorsementKey').then(async (endorsementKey) =>
        ({ endorsementKey, storageRootKey: await read('getStorageRootKey') }));
    },
    // A device whose key for the hub is in its TPM sends a message with it.
    async sendByTpm(registrationId, hub, deviceId, body) {
      const security = securities.get(registrationId);
      const provider = TpmAuthenticationProvider.fromTpmSecurityClient(deviceId, hub, security);
      const client = Client.fromAuthenticationProvider(provider, DeviceMqtt);
      await client.open();
      await client.sendEvent(new Message(body));
      await client.close();
    },

    dps: (connectionString) => void (service = ProvisioningServiceClient.fromConnectionString(connectionString)),
    dpsCall: async (method, ...given) => {
      const answer = await service[method](...given);
      return plain(answer?.responseBody ?? answer);
    },
    // The SDK's promise for this never ends.
    dpsBulk: (operation) => new Promise((resolve, reject) => {
      service.runBulkEnrollmentOperation(operation, (error, result) => (error ? reject(error) : resolve(plain(result))));
    }),
    async dpsQuery(kind, text, pageSize, ...given) {
      const query = service[`create${kind}Query`]({ query: text }, ...given, pageSize);
      const pages = [];
      do pages.push(plain((await query.next(query.continuationToken)).responseBody));
      while (query.hasMoreResults);
      return pages;
    },
  };
};
